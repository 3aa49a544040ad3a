package evaluator

// SLONamespace is where the rules are that follow from SLOs.
const SLONamespace = "slo"
