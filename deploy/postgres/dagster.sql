-- Run once, when the cluster is made: Dagster keeps its runs in a database of its own.
CREATE DATABASE dagster;
