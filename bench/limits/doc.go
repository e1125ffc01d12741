// Package limits holds the proof of what shared rate limits do when Redis
// fails: real sidecars under load, a real redis-server, and toxiproxy between
// them. README.md has the command and what it printed.
package limits
