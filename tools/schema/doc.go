// Package schema checks docs/audit-record.schema.json with a validator that many others use: it
// accepts every kind of line that the audit log writes, and refuses what is none.
//
// It is a module of its own so that the validator is not among the program's dependencies.
package schema
