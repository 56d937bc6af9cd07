-- What the first request made: a container, a key, a rule.
ALTER TABLE idempotency RENAME COLUMN container_id TO made;
