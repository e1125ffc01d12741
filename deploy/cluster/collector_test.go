package cluster

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/deploy/cluster/node"
	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

// collector takes the apps' last reports.
type collector struct {
	address string
	mutex   sync.Mutex
	last    map[string][]report.Report // by the pod's name
}

func newCollector() (*collector, error) {
	listener, err := net.Listen("tcp", node.Address+":0")
	if err != nil {
		return nil, err
	}
	c := &collector{address: "http://" + listener.Addr().String(), last: map[string][]report.Report{}}
	go http.Serve(listener, c)
	return c, nil
}

func (c *collector) ServeHTTP(answer http.ResponseWriter, request *http.Request) {
	var told report.Report
	if err := json.NewDecoder(request.Body).Decode(&told); err != nil {
		http.Error(answer, err.Error(), http.StatusBadRequest)
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.last[told.Pod] = append(c.last[told.Pod], told)
}

// await returns the last report of a pod's app.
func (c *collector) await(t *testing.T, pod string) report.Report {
	t.Helper()
	var told report.Report
	err := node.Await("the last report of "+pod, time.Minute, func() error {
		c.mutex.Lock()
		defer c.mutex.Unlock()
		all := c.last[pod]
		if len(all) == 0 {
			return fmt.Errorf("none")
		}
		told = all[len(all)-1]
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return told
}
