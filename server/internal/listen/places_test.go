package listen

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// guest is a connection by name, such as "a1": the first of group a.
type guest struct {
	net.Conn
	name string
}

func TestTheOldestOfTheLargestGroupGivesWay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		most, mostEach int
		spared         string
		guests         string // in the order of their coming
		gone           string // in that order; "!a1" is a1 that got no place
	}{
		"room for all":                           {4, 4, "", "a1 b1 a2 b2", ""},
		"the newcomer stays":                     {2, 2, "", "a1 a2 a3", "a1"},
		"the largest group gives way":            {3, 3, "", "b1 a1 a2 c1", "a1"},
		"a small group is not touched":           {4, 4, "", "b1 a1 a2 a3 a4 a5 a6", "a1 a2 a3"},
		"equal groups: the newcomer's own":       {2, 2, "", "a1 b1 a2", "a1"},
		"a group's own bound":                    {9, 2, "", "a1 a2 b1 a3", "a1"},
		"the spared stay":                        {2, 2, "a1", "a1 a2 a3", "a2"},
		"nobody can give way":                    {2, 2, "a1 a2", "a1 a2 a3", "!a3"},
		"others give way though some are spared": {3, 3, "a1", "a1 a2 b1 b2", "a2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spared := strings.Fields(test.spared)
			p := &places{most: test.most, mostEach: test.mostEach, strict: true, spared: func(conn net.Conn) bool {
				return slices.Contains(spared, conn.(guest).name)
			}}
			var gone []string
			for name := range strings.FieldsSeq(test.guests) {
				victim, admitted := p.enter(name[:1], guest{name: name})
				switch {
				case !admitted:
					gone = append(gone, "!"+name)
				case victim != nil:
					gone = append(gone, victim.(guest).name)
				}
			}
			if got := strings.Join(gone, " "); got != test.gone {
				t.Errorf("%q gave way, want %q", got, test.gone)
			}
		})
	}
}

func TestTheSparedGiveWayWhenThereIsNobodyElse(t *testing.T) {
	t.Parallel()
	p := &places{most: 2, mostEach: 2, spared: func(conn net.Conn) bool { return conn.(guest).name != "a2" }}
	for _, step := range []struct{ comes, goes string }{{"a1", ""}, {"a2", ""}, {"a3", "a2"}, {"a4", "a1"}} {
		victim, _ := p.enter("a", guest{name: step.comes})
		if gone, _ := victim.(guest); gone.name != step.goes {
			t.Errorf("%s comes, %q goes, want %q", step.comes, gone.name, step.goes)
		}
	}
}

func TestPlacesComeBack(t *testing.T) {
	t.Parallel()
	p := &places{most: 2, mostEach: 2}
	for i := range 100 {
		conn := guest{name: strconv.Itoa(i)}
		if victim, admitted := p.enter("a", conn); !admitted || victim != nil {
			t.Fatalf("connection %d: admitted %v, gave way %v", i, admitted, victim)
		}
		p.leave("a", conn)
		p.leave("a", conn) // twice is once
	}
	if p.total != 0 || len(p.groups) != 0 {
		t.Errorf("%d places in %d groups are still taken", p.total, len(p.groups))
	}
}

func TestHostOf(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"127.0.0.1:1":          loopbackHosts,
		"127.9.8.7:2":          loopbackHosts,
		"[::ffff:127.0.0.2]:3": loopbackHosts,
		"[::1]:4":              "::1",
		"10.0.0.7:5":           "10.0.0.7",
		"[fd00::1]:6":          "fd00::1",
		"[fd00::2]:6":          "fd00::2",
	} {
		tcp, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := hostOf(tcp); got != want {
			t.Errorf("%s: got %s, want %s", address, got, want)
		}
	}
}
