-- The generation of the last intent that asked for a fresh pod: a running pod of an older one is replaced.
ALTER TABLE containers ADD COLUMN restart_generation BIGINT NOT NULL DEFAULT 1;

-- Removing a key looks for the containers that accept it.
CREATE INDEX container_keys_key ON container_keys (key_id);
