package listen

// reportOwn reports what grpc does by itself and would otherwise leave no trace: answers that are an
// error alone, for which nobody has given a reason, and calls that it resets. The frame's payload may be
// cut short.
func (t *traffic) reportOwn(f frame, c change, payload []byte) {
	switch {
	case f.kind == frameGoAway:
		t.over.Store(true)
	case c.failed:
		t.report(kindUnexplained)
	case !c.reset || len(payload) < 4:
	case payload[3] == frameSizeError:
		t.report(kindMetadata)
	case payload[3] != cancelled && payload[3] != noError: // else its deadline has passed
		t.report(kindReset)
	}
}
