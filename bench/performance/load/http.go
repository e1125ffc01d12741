package load

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// HTTP posts the next customer to /chat-token, over as many connections as calls are in flight.
type HTTP struct {
	Customers int64 // in rotation

	url    string
	client http.Client
}

// NewHTTP returns a caller of the server at host:port.
func NewHTTP(address string, customers int64, connections int) *HTTP {
	return &HTTP{Customers: customers, url: "http://" + address + "/chat-token", client: http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections,
			IdleConnTimeout: 2 * time.Second, // before Node closes them, after 5 s
		},
	}}
}

// Call asks for a token.
func (h *HTTP) Call(ctx context.Context, n int64) error {
	body := []byte(`{"external_id":"customer_` + strconv.FormatInt(n%h.Customers, 10) + `"}`)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := h.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close() //nolint:errcheck // read to its end
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK || answer.Token == "" {
		return fmt.Errorf("%s answered %s without a token", h.url, response.Status)
	}
	return nil
}

// Close ends the connections.
func (h *HTTP) Close() error {
	h.client.CloseIdleConnections()
	return nil
}
