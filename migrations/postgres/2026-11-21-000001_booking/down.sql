DROP TABLE connections;
DROP TABLE inbox;
DROP TABLE recipients;
DROP TABLE notifications;
