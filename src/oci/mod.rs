//! OCI registries: bundles and single releases pushed and pulled.
