package cluster

import (
	"fmt"
	"strings"

	"github.com/chatidentity/chatidentity/deploy/cluster/report"
)

var jobRows = []row{
	{"Job, CronJob", "a Job, and a CronJob run twice by hand, of 100 calls each", jobs},
}

const workloads = checkout + "/deploy/kubernetes/example/"

func jobs(s *space) saw {
	s.chatSecret()
	for _, file := range []string{"job.yaml", "cronjob.yaml"} {
		s.apply(s.manifest(s.read(workloads + file)))
	}
	runs := []string{"shop-import"}
	for n := range 2 {
		run := fmt.Sprintf("shop-report-by-hand-%d", n)
		s.kubectl("create", "job", "--from=cronjob/shop-report", run)
		runs = append(runs, run)
	}
	var seen []report.Report
	for _, run := range runs {
		s.kubectl("wait", "--for=condition=Complete", "job/"+run, "--timeout=2m")
		seen = append(seen, s.last(s.pods("batch.kubernetes.io/job-name="+run))...)
	}
	s.noFailure(seen)
	if all := sum(seen); all.Calls != 300 {
		s.Errorf("%d calls", all.Calls)
	}
	return saw{seen, "all complete: " + strings.Join(runs, ", ")}
}
