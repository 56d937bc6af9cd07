-- Bytes of its disk that a container uses, as its agent last said.
ALTER TABLE containers ADD COLUMN disk_used_bytes BIGINT;
