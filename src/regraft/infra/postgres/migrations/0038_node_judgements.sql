-- What is said of one node is found by the node.

CREATE INDEX preference_labels_node_a ON preference_labels (node_a);
CREATE INDEX preference_labels_node_b ON preference_labels (node_b);
