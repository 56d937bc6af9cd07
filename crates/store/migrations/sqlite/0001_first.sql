CREATE TABLE users (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  subject TEXT UNIQUE,
  username TEXT NOT NULL UNIQUE,
  is_admin BOOLEAN NOT NULL DEFAULT false,
  password_hash TEXT,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
);

-- Local accounts count from a million: the numbers below belong to the issuers of tokens, whose claims name them.
INSERT INTO sqlite_sequence (name, seq) VALUES ('users', 999999);

CREATE TABLE containers (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL,
  name TEXT NOT NULL,
  namespace TEXT NOT NULL,
  status TEXT NOT NULL DEFAULT 'pending',
  external_ip TEXT,
  memory_mb INTEGER NOT NULL DEFAULT 512,
  storage_gb INTEGER NOT NULL DEFAULT 5,
  image TEXT NOT NULL DEFAULT 'eddisonso/ecloud-compute-base:latest',
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  stopped_at TIMESTAMP,
  ssh_enabled BOOLEAN NOT NULL DEFAULT false,
  https_enabled BOOLEAN NOT NULL DEFAULT false,
  owner_username TEXT NOT NULL DEFAULT '',
  instance_type TEXT NOT NULL DEFAULT 'nano',
  mount_paths TEXT NOT NULL DEFAULT '["/root"]',
  pull_policy TEXT NOT NULL DEFAULT 'IfNotPresent',
  desired TEXT NOT NULL DEFAULT 'running',
  generation BIGINT NOT NULL DEFAULT 1,
  observed TEXT NOT NULL,
  transition TEXT,
  reason TEXT,
  message TEXT,
  namespace_uid TEXT,
  memory_used_mb INTEGER,
  deleted_at TIMESTAMP
);
CREATE UNIQUE INDEX containers_name ON containers (user_id, name) WHERE deleted_at IS NULL;

CREATE TABLE ingress_rules (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
  port INTEGER NOT NULL,
  target_port INTEGER NOT NULL DEFAULT 80,
  protocol TEXT NOT NULL DEFAULT 'http',
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  UNIQUE (container_id, port)
);

CREATE TABLE ssh_keys (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id BIGINT NOT NULL REFERENCES users (id),
  name TEXT NOT NULL,
  public_key TEXT NOT NULL,
  fingerprint TEXT NOT NULL,
  created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
  last_used_at TIMESTAMP,
  UNIQUE (user_id, fingerprint)
);

CREATE TABLE container_keys (
  container_id TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
  key_id BIGINT NOT NULL REFERENCES ssh_keys (id) ON DELETE CASCADE,
  PRIMARY KEY (container_id, key_id)
);

CREATE TABLE sessions (
  hash TEXT PRIMARY KEY,
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created_at TIMESTAMP NOT NULL,
  expires_at TIMESTAMP NOT NULL
);

CREATE TABLE api_tokens (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  scopes TEXT,
  created_at TIMESTAMP NOT NULL,
  expires_at TIMESTAMP,
  revoked_at TIMESTAMP
);
CREATE UNIQUE INDEX api_tokens_name ON api_tokens (user_id, name) WHERE revoked_at IS NULL;

CREATE TABLE idempotency (
  user_id BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  request TEXT NOT NULL,
  container_id TEXT NOT NULL,
  created_at TIMESTAMP NOT NULL,
  PRIMARY KEY (user_id, key)
);

CREATE TABLE audit_log (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at TIMESTAMP NOT NULL,
  user_id BIGINT,
  username TEXT,
  action TEXT NOT NULL,
  target TEXT,
  origin TEXT,
  outcome TEXT NOT NULL,
  request_id TEXT
);

-- One row: names this installation, so that two of them on one cluster leave each other's namespaces alone.
CREATE TABLE installation (id TEXT PRIMARY KEY);
INSERT INTO installation (id) VALUES (lower(hex(randomblob(8))));
