package secret_test

import (
	"fmt"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/secret"
)

func (p *playing) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (p *playing) answer() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answerNow()
}

// answerNow has the vendor answer what it is asked, with its secret and perhaps the time.
func (p *playing) answerNow() {
	q, m := p.pending, &p.model
	if q == nil {
		return
	}
	p.pending = nil
	q.value, q.ahead, q.known = p.vendor, -p.clock.offset(), p.good || p.random.IntN(5) > 0
	switch {
	case !q.known:
	case (kustomer.Clock{Known: true, Least: q.ahead - time.Second, Most: q.ahead}).Apart() > 5*time.Minute:
		m.beyond++
	default:
		m.beyond = 0
	}
	if m.current != q.value {
		if m.current != "" {
			m.previous, m.changed = m.current, time.Now()
		}
		m.current = q.value
	}
	m.loaded = time.Now()
	q.answer <- nil
}

// change gives the vendor another secret.
func (p *playing) change() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.changes++
	p.vendor = fmt.Sprintf("canary of the vendor, number %d of many", p.changes%3)
}

// refuse has the vendor fail, and perhaps ask to be left alone.
func (p *playing) refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil {
		return
	}
	p.failed++
	kinds := kustomer.Kinds()
	err := &kustomer.Error{Kind: kinds[p.random.IntN(len(kinds))], Host: "vendor.example"}
	if p.random.IntN(3) == 0 {
		err.Kind, err.RetryAfter = kustomer.KindRateLimited, time.Duration(p.random.Int64N(int64(2*time.Minute)))
		p.model.spared = time.Now().Add(err.RetryAfter)
	}
	q := p.pending
	p.pending = nil
	q.answer <- err
}

// wrong has the vendor name what can be no secret.
func (p *playing) wrong() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.pending == nil {
		return
	}
	p.failed++
	q := p.pending
	p.pending = nil
	q.value = []string{"", " \n", string(make([]byte, secret.MaxSize+1))}[p.random.IntN(3)]
	q.answer <- nil
}

// heal has the vendor answer at once and well. A request to refresh then brings its secret, and soon
// the right time.
func (p *playing) heal() {
	p.be(true)
	p.clock.set(0)
	p.answer()
	synctest.Wait()
	p.pass(3 * time.Minute) // it may have asked to be left alone
	p.store.Refresh()
	synctest.Wait()
	p.pass(time.Second)
	p.look()
	if current, err := p.store.Current(); err != nil || current.Value.Reveal() != p.vendor {
		p.failf("a good vendor's secret is not there: %v", err)
	}
	if err := p.store.Ready(); err != nil {
		p.failf("not ready with a good vendor: %v", err)
	}
	p.be(false)
}

func (p *playing) be(good bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.good = good
}
