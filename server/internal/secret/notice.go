package secret

import "time"

// noticeEvery is how often the same warning is repeated.
const noticeEvery = time.Minute

// notice keeps a warning that every attempt repeats from filling the log. The zero value is ready
// to use.
type notice struct {
	said string
	at   time.Duration
}

// due reports whether to log the text: it is new, or was last logged a while ago.
func (n *notice) due(text string, elapsed time.Duration) bool {
	if n.said == text && elapsed-n.at < noticeEvery {
		return false
	}
	n.said, n.at = text, elapsed
	return true
}
