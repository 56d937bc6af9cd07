-- What the image resolved to when the container was created; once a pod ran, what the last one really ran.
ALTER TABLE containers ADD COLUMN image_digest TEXT;
