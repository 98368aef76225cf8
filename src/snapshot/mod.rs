//! Bundles and this site: what is exported, and what an import makes of it here.
