-- Of a connection: its key, duration and bytes, as JSON.
ALTER TABLE audit_log ADD COLUMN detail TEXT;
-- A gateway that does not hear an answer reports again: kept once.
CREATE UNIQUE INDEX audit_log_connection ON audit_log (request_id) WHERE action LIKE 'connection.%';
