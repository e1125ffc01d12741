package config

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// OtherVariables returns, by name, the variables that serve reads besides those of its flags: they
// are OpenTelemetry's and those of proxies. Set checks a value and stores nothing. Variables that
// hold secrets are not among them.
func OtherVariables() map[string]Flag {
	all := map[string]Flag{}
	add := func(check func(string) error, placeholder string, names ...string) {
		for _, name := range names {
			all[name] = Flag{Name: name, Placeholder: placeholder, Set: check}
		}
	}
	anything := func(string) error { return nil }
	add(checkProxy, "URL", "HTTPS_PROXY", "HTTP_PROXY")
	add(anything, "HOSTS", "NO_PROXY")
	add(anything, "TEXT", "OTEL_SERVICE_NAME")
	add(checkSampler, "NAME", "OTEL_TRACES_SAMPLER")
	add(checkShare, "SHARE", samplerArgVariable)
	add(oneOf("true", "false"), "TRUE|FALSE", "OTEL_SDK_DISABLED")
	add(oneOf("otlp", "none"), "NAME", "OTEL_TRACES_EXPORTER")
	add(checkPairs, "NAME=VALUE", attributesVariable)
	add(checkMilliseconds, "MILLISECONDS", "OTEL_BSP_SCHEDULE_DELAY")
	add(checkMilliseconds, "COUNT", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE")
	for _, prefix := range exporterPrefixes {
		for name, check := range exporterVariables {
			add(check, "VALUE", prefix+name)
		}
		delete(all, prefix+headers)
		add(anything, PathPlaceholder, prefix+"CERTIFICATE", prefix+"CLIENT_CERTIFICATE", prefix+"CLIENT_KEY")
	}
	return all
}

// HoldsKey reports whether a variable of OpenTelemetry usually holds a key.
func HoldsKey(name string) bool {
	return slices.ContainsFunc(exporterPrefixes, func(prefix string) bool { return name == prefix+headers })
}

// checkProxy takes what Go's HTTP client takes. It never repeats what may be a password.
func checkProxy(text string) error {
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	proxy, err := url.Parse(text)
	if err != nil || proxy.Host == "" || !slices.Contains([]string{"http", "https", "socks5", "socks5h"}, proxy.Scheme) {
		return errors.New("must be a URL, such as http://proxy:3128")
	}
	return nil
}
