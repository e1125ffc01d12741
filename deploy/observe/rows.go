package observe

// row is a question and the panels that answer it.
type row struct {
	question string
	panels   []panel
}

// panel is a graph. Unit is Grafana's name of it.
type panel struct {
	title, description, unit string
	isSigned                 bool
	queries                  []query
}

type query struct{ expression, legend string }

// rows are in the order in which somebody asks when chat does not work.
var rows = []row{
	{"Do users get tokens?", []panel{
		{
			title: "Tokens issued", unit: "reqps",
			description: "A fall while people log in: calls are refused (see below) or do not come.",
			queries: []query{{
				`sum by (organization, identifier) (rate(chatidentity_tokens_issued_total{job=~"$job"}[$__rate_interval]))`,
				"{{organization}} by {{identifier}}",
			}},
		},
		{
			title: "Tokens that should be issued and are not", unit: "percentunit",
			description: "What our outages cost. Refusals that are the caller's fault do not count. The objective is 0.1 %.",
			queries: []query{{`(sum(rate(grpc_server_handled_total{job=~"$job", grpc_method="IssueToken", grpc_code=~"Unavailable|Internal"}[$__rate_interval]))` +
				` + sum(rate(chatidentity_calls_given_up_total{job=~"$job"}[$__rate_interval])))` +
				` / (sum(rate(grpc_server_handled_total{job=~"$job", grpc_method="IssueToken", grpc_code=~"OK|Unavailable|Internal"}[$__rate_interval]))` +
				` + sum(rate(chatidentity_calls_given_up_total{job=~"$job"}[$__rate_interval])))`, "failed"}},
		},
	}},
	{"How fast?", []panel{
		{
			title: "Time of a call of IssueToken", unit: "s",
			description: "The objective is 99 % within 0.1 s.",
			queries: []query{
				{`histogram_quantile(0.99, sum by (le) (rate(grpc_server_handling_seconds_bucket{job=~"$job", grpc_method="IssueToken"}[$__rate_interval])))`, "99 %"},
				{`histogram_quantile(0.5, sum by (le) (rate(grpc_server_handling_seconds_bucket{job=~"$job", grpc_method="IssueToken"}[$__rate_interval])))`, "50 %"},
			},
		},
		{
			title: "What it waits for", unit: "s",
			description: "99 % of the commits of audit records, and of the decisions that Redis was asked for.",
			queries: []query{
				{`histogram_quantile(0.99, sum by (le) (rate(chatidentity_audit_commit_duration_seconds_bucket{job=~"$job"}[$__rate_interval])))`, "audit"},
				{`histogram_quantile(0.99, sum by (le) (rate(chatidentity_ratelimit_redis_duration_seconds_bucket{job=~"$job"}[$__rate_interval])))`, "Redis"},
			},
		},
	}},
	{"Who is refused, and why?", []panel{
		{
			title: "Refusals by reason", unit: "reqps",
			description: "docs/troubleshooting.md says what each reason means and what to do. audit find says who it was.",
			queries:     []query{{`sum by (reason) (rate(chatidentity_refusals_total{job=~"$job"}[$__rate_interval])) > 0`, "{{reason}}"}},
		},
		{
			title: "Over a rate limit", unit: "reqps",
			description: "Those of mode shadow passed nevertheless.",
			queries:     []query{{`sum by (limit, mode) (rate(chatidentity_limited_total{job=~"$job"}[$__rate_interval]))`, "{{limit}} ({{mode}})"}},
		},
		{
			title: "Refused at the door", unit: "reqps",
			description: "docs/operations.md says what each kind means; event refused_before_service in the log names the other end.",
			queries:     []query{{`sum by (kind) (rate(chatidentity_transport_errors_total{job=~"$job"}[$__rate_interval])) > 0`, "{{kind}}"}},
		},
	}},
	{"Is the record kept?", []panel{
		{
			title: "The sink takes records", unit: "short",
			description: "At 0 no token leaves in strict mode.",
			queries:     []query{{`chatidentity_audit_available{job=~"$job"}`, "{{instance}}"}},
		},
		{
			title: "Records that are late or lost", unit: "short",
			description: "Calls refused because their record was late, failed writes, and records lost in best-effort mode.",
			queries: []query{
				{`sum(increase(chatidentity_audit_timeouts_total{job=~"$job"}[$__rate_interval]))`, "late"},
				{`sum(increase(chatidentity_audit_write_failures_total{job=~"$job"}[$__rate_interval]))`, "failed writes"},
				{`sum(increase(chatidentity_audit_dropped_records_total{job=~"$job"}[$__rate_interval]))`, "lost"},
			},
		},
		{
			title: "Oldest record that waits", unit: "s",
			description: "Beyond --audit-timeout the sink hangs.",
			queries:     []query{{`chatidentity_audit_oldest_waiting_seconds{job=~"$job"}`, "{{instance}}"}},
		},
		{
			title: "Free space for records", unit: "bytes",
			description: "Of the audit file's disk; of standard output, 0.",
			queries:     []query{{`chatidentity_audit_free_bytes{job=~"$job"}`, "{{instance}}"}},
		},
	}},
	{"Is the secret fresh?", []panel{
		{
			title: "Age of the signing secret", unit: "s",
			description: "Since it was last read from its source. Beyond --secret-max-stale no token is signed.",
			queries:     []query{{`max by (organization) (chatidentity_secret_age_seconds{job=~"$job"})`, "{{organization}}"}},
		},
		{
			title: "Replicas by the secret that they sign with", unit: "short",
			description: "Two fingerprints at once for more than --secret-refresh: some replicas sign with a secret that Kustomer refuses.",
			queries:     []query{{`count by (organization, secret_id) (chatidentity_secret_info{job=~"$job"})`, "{{organization}}: {{secret_id}}"}},
		},
		{
			title: "Sources that do not answer", unit: "short",
			description: "The last good secret serves until it is too old.",
			queries:     []query{{`count by (organization) (chatidentity_secret_source_up{job=~"$job"} == 0) or 0 * count by (organization) (chatidentity_secret_source_up{job=~"$job"})`, "{{organization}}"}},
		},
	}},
	{"Is the clock right?", []panel{{
		title: "Kustomer's clock minus ours", unit: "s", isSigned: true,
		description: "Good to about a second; with the API source only. Beyond --max-clock-skew no token is signed.",
		queries:     []query{{`chatidentity_kustomer_clock_offset_seconds{job=~"$job"}`, "{{instance}} {{organization}}"}},
	}}},
	{"Who floods?", []panel{
		{
			title: "Used part of the frame budgets", unit: "percentunit",
			description: "Of the caller that has used most, and of all strangers. Beyond 1 connections are slowed down, and then cut off.",
			queries:     []query{{`max by (of) (chatidentity_frame_budget_used_ratio{job=~"$job"})`, "{{of}}"}},
		},
		{
			title: "Used part of what all connections share", unit: "percentunit",
			description: "Near 1, whoever has most is refused; the log names them.",
			queries:     []query{{`max by (bound) (chatidentity_shared_bound_used_ratio{job=~"$job"})`, "{{bound}}"}},
		},
		{
			title: "Budgets forgotten while in use", unit: "reqps",
			description: "More customers call at once than the local store holds, or somebody makes them up.",
			queries:     []query{{`sum by (limit) (rate(chatidentity_ratelimit_evictions_total{job=~"$job"}[$__rate_interval]))`, "{{limit}}"}},
		},
		{
			title: "Rate limits are shared through Redis", unit: "short",
			description: "At 0 each replica counts for itself. Empty without --limit-redis.",
			queries:     []query{{`chatidentity_ratelimit_redis_up{job=~"$job"}`, "{{instance}}"}},
		},
	}},
}
