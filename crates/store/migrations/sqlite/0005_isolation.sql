-- What a canary showed of a cluster, by the UID of its kube-system namespace: a restart of berthd starts containers at once
-- where it was shown before, and checks again meanwhile.
CREATE TABLE cluster_isolation (
  cluster TEXT PRIMARY KEY,
  policies_enforced BOOLEAN NOT NULL,
  user_namespaces BOOLEAN NOT NULL,
  shown_at TIMESTAMP NOT NULL
);
