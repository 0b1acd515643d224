DROP TABLE deployment;
DROP INDEX connections_node;
DROP TABLE nodes;
