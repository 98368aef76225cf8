//! The verifying TUF client: nothing it hands out is unsigned.
