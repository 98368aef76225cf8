//! Publication: a view of the catalogue becomes signed TUF targets.
