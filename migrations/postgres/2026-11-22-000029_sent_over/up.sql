-- By which socket of which node an entry was handed to its recipient: `socket@node`, the socket by the beginning of its name.
ALTER TABLE inbox ADD COLUMN sent_over TEXT;
