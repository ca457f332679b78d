-- How much of the truth each station has seen: a build of the graph, or a number of the inbox.

-- name: schema
-- One row per station.
CREATE TABLE IF NOT EXISTS watermark (station VARCHAR PRIMARY KEY, build BIGINT NOT NULL);

-- name: watermark
-- What a station has seen.
SELECT build FROM watermark WHERE station = $station;

-- name: set_watermark
-- A station has seen so much.
INSERT OR REPLACE INTO watermark VALUES ($station, $build);
