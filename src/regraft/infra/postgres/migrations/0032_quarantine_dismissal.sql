-- A call that cannot be read may be dismissed by a person, with a reason; it is kept, and counted no longer.

ALTER TABLE quarantine ADD COLUMN dismissed_because text;
