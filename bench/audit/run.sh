#!/bin/sh
# Prints the throughput table of the audit log. Flags: -dir, -rounds, -length,
# -work (CPU time of a call beside its record).
cd "$(dirname "$0")/../.." && exec go run ./server/internal/audit/auditbench "$@"
