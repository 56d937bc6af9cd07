-- What happened to a container, kept after its pod is gone. Numbers count within one container: `id` in the order in which things
-- were first seen, `revision` with every change, so that whoever follows reads only what is new. `key` names what an entry tells of.
CREATE TABLE container_events (
  container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
  id BIGINT NOT NULL,
  revision BIGINT NOT NULL,
  key TEXT NOT NULL,
  kind TEXT NOT NULL,
  at TIMESTAMP NOT NULL,
  message TEXT NOT NULL,
  count BIGINT NOT NULL,
  PRIMARY KEY (container_id, id),
  UNIQUE (container_id, key)
);
