package secret

import "time"

// noticeEvery is how often the same warning is repeated.
const noticeEvery = time.Minute

// notice keeps a warning that comes with every attempt from filling the log. The
// zero value has said nothing yet.
type notice struct {
	said string
	at   time.Duration
}

// due reports whether text should be said: it is news, or was said a while ago.
func (n *notice) due(text string, elapsed time.Duration) bool {
	if n.said == text && elapsed-n.at < noticeEvery {
		return false
	}
	n.said, n.at = text, elapsed
	return true
}
