//! The proxy on localhost that gives unmodified installers what TUF promises.
