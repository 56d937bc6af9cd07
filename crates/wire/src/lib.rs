//! JSON shapes of the API, problem details, socket frames, OpenAPI schemas.
