-- What conditions over a window look back at.

-- By machine, threshold and device the first value of each sixteenth of the window (JSON); NULL: nothing looks back. Changes far more seldom
-- than evaluation.
ALTER TABLE hosts ADD COLUMN windows TEXT NULL;
