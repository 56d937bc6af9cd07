ALTER TABLE users ADD COLUMN suspended_at TIMESTAMP;

CREATE INDEX audit_log_user ON audit_log (user_id, id);
CREATE INDEX audit_log_target ON audit_log (target, id);
CREATE INDEX audit_log_at ON audit_log (at);

-- The audit log is appended to and read. Nothing in berthd changes a line, and nothing else is to.
CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append only');
END;
CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
BEGIN
  SELECT RAISE(ABORT, 'the audit log is append only');
END;
