package docs

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// CheckLinks wants every link within the tree to lead to a file or folder of it, and to a heading
// of the page. Others must be https. It returns these.
func (t *Tree) CheckLinks(p *Page) []Reference {
	var outside []Reference
	for _, link := range p.Links {
		target, err := url.Parse(link.Text)
		switch {
		case err != nil:
			p.problemf(link.Line, "%v", err)
		case target.Scheme == "https" && target.Host != "":
			outside = append(outside, link)
		case target.Scheme == "mailto":
		case target.Scheme != "" || target.Host != "" || strings.HasPrefix(target.Path, "/"):
			p.problemf(link.Line, "link %s: want https, or a path from this page", link.Text)
		default:
			t.checkPath(p, link, target)
		}
	}
	return outside
}

func (t *Tree) checkPath(p *Page, link Reference, target *url.URL) {
	to := p.Path
	if target.Path != "" {
		to = path.Join(path.Dir(p.Path), target.Path)
	}
	if !t.Has(to) {
		p.problemf(link.Line, "link %s: there is no %s", link.Text, to)
		return
	}
	if target.Fragment != "" && (path.Ext(to) != ".md" || !t.Page(to).Anchors[target.Fragment]) {
		p.problemf(link.Line, "link %s: %s has no heading #%s", link.Text, to, target.Fragment)
	}
}

// Ask returns what is wrong with a link outside the tree.
func Ask(ctx context.Context, client *http.Client, link string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("link %s: %s", link, response.Status)
	}
	return nil
}
