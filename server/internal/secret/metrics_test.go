package secret_test

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatidentity/chatidentity/server/internal/kustomer"
	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
	"github.com/chatidentity/chatidentity/server/internal/secret"
	"github.com/chatidentity/chatidentity/server/internal/sensitive"
)

func TestFiftyOrganizationsHaveTheirOwnSecretsAndMetrics(t *testing.T) {
	t.Parallel()
	const organizations = 50
	stores := make([]*secret.Store, 0, organizations)
	paths := make(map[string]string)
	volume := t.TempDir()
	files := follower(t, io.Discard)
	for index := range organizations {
		name := fmt.Sprintf("organization-%d", index)
		paths[name] = write(t, volume, firstSecret+name)
		stores = append(stores, open(t, secret.Options{Organization: name, Follower: files}, secret.Source{File: paths[name]}))
	}
	for _, store := range stores {
		name := store.Organization()
		check(t, os.Rename(write(t, volume, secondSecret+name), paths[name]))
	}
	for _, store := range stores {
		awaitSecret(t, store, secondSecret+store.Organization())
	}
	ids := make(map[string]bool)
	for _, series := range gather(t, stores...) {
		if series.name == "chatidentity_secret_info" {
			ids[series.labels] = true
		}
	}
	if len(ids) != organizations {
		t.Errorf("%d series of chatidentity_secret_info, want %d different ones", len(ids), organizations)
	}
}

func TestMetricsOfTheAPISource(t *testing.T) {
	t.Parallel()
	vendor := standin.New(standin.Options{APIKey: apiKey, Secret: firstSecret})
	store := open(t, secret.Options{Organization: "acme"}, secret.Source{API: &secret.API{Client: clientOf(t, vendor)}})
	if available := metric(t, "chatidentity_secret_available", "", store); available != 0 {
		t.Errorf("chatidentity_secret_available = %v before the first answer", available)
	}
	run(t, store)
	<-store.Loaded()
	current, err := store.Current()
	check(t, err)
	for _, test := range []struct {
		name, label string
		least, most float64
	}{
		{"chatidentity_secret_available", "", 1, 1},
		{"chatidentity_secret_refresh_total", "result=ok", 1, 1},
		{"chatidentity_secret_refresh_total", "result=network", 0, 0},
		{"chatidentity_secret_info", "secret_id=" + current.ID, 1, 1},
		{"chatidentity_secret_age_seconds", "", 0, patience.Seconds()},
		{"chatidentity_kustomer_clock_offset_seconds", "", -2, 2},
	} {
		if value := metric(t, test.name, test.label, store); value < test.least || value > test.most {
			t.Errorf("%s{%s} = %v, want %v to %v", test.name, test.label, value, test.least, test.most)
		}
	}
}

// Each kind of failure has a counter; an unknown kind would be a crash.
func TestEachKindOfFailureIsCounted(t *testing.T) {
	t.Parallel()
	for _, kind := range kustomer.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			failing := func(v *vendor) { v.err = &kustomer.Error{Kind: kind} }
			play(t, secret.API{}, failing, func(s scene) {
				s.pass(time.Millisecond)
				if count := metric(t, "chatidentity_secret_refresh_total", "result="+string(kind), s.store); count != 1 {
					t.Errorf("%v failures of kind %q were counted, want 1", count, kind)
				}
			})
		})
	}
}

func TestAnEnvironmentsSecretHasNoAge(t *testing.T) {
	t.Parallel()
	store, err := secret.Open(secret.Options{Organization: "acme"}, secret.Source{Value: sensitive.New(firstSecret)})
	check(t, err)
	for _, series := range gather(t, store) {
		if series.name == "chatidentity_secret_age_seconds" || strings.Contains(series.labels, "canary") {
			t.Errorf("unexpected series %+v", series)
		}
	}
}

type series struct {
	name, labels string
	value        float64
}

// gather reads all series through a registry that checks them.
func gather(t *testing.T, stores ...*secret.Store) []series {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	check(t, registry.Register(secret.NewCollector(func() []*secret.Store { return stores })))
	families, err := registry.Gather()
	check(t, err)
	var all []series
	for _, family := range families {
		for _, sample := range family.GetMetric() {
			var labels []string
			for _, pair := range sample.GetLabel() {
				labels = append(labels, pair.GetName()+"="+pair.GetValue())
			}
			value := sample.GetGauge().GetValue() + sample.GetCounter().GetValue()
			all = append(all, series{family.GetName(), strings.Join(labels, ","), value})
		}
	}
	return all
}

// metric is the value of the one series with the name and the label.
func metric(t *testing.T, name, label string, store *secret.Store) float64 {
	t.Helper()
	for _, series := range gather(t, store) {
		if series.name == name && strings.Contains(series.labels, label) {
			return series.value
		}
	}
	t.Fatalf("no series %s{%s}", name, label)
	return 0
}
