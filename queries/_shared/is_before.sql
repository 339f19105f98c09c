-- Whether one moment came before another: earlier by more than their clocks are unsure together. false: after it.
-- NULL: undecided, as always where nothing tells how sure the clocks are. All comparisons of two sources' times ask this.
CREATE MACRO is_before(one_ns, other_ns, joint_ns) AS
CASE WHEN other_ns - one_ns > joint_ns THEN true WHEN one_ns - other_ns > joint_ns THEN false END
