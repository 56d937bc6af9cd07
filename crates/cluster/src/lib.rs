//! Everything Kubernetes: observe, build, apply, record.
