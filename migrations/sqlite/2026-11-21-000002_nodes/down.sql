DROP INDEX connections_node;
DROP TABLE nodes;
