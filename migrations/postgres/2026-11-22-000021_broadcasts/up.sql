-- The people of a tenant in the order in which a broadcast comes to them.
CREATE INDEX recipients_tenant ON recipients ((tenant || ''), id);
