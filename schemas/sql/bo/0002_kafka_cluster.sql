-- Which Kafka the pictures in `live` are of: the epochs of another one begin anew.
CREATE TABLE kafka_cluster (id TEXT PRIMARY KEY);
