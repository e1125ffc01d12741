package process

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// Profile writes to a file where the process spends its CPU time, for some seconds from now on. The
// process must run with --profile-listen.
func (p *Process) Profile(ctx context.Context, length time.Duration, path string) error {
	address := fmt.Sprintf("http://%s/profile/cpu?seconds=%.0f", p.profiles, length.Seconds())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	request.Header.Set("X-Chatidentity-Profile", "1")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // it is only read
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err
	}
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", address, answer.Status, body)
	}
	return os.WriteFile(path, body, 0o600)
}
