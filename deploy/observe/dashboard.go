package observe

import (
	"encoding/json"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// Dashboard returns the dashboard as JSON for Grafana.
func Dashboard() ([]byte, error) {
	source := dataSource()
	builder := dashboard.NewDashboardBuilder("chatidentity").Uid("chatidentity").
		Description("Do users get chat tokens, and if not, why. "+
			"docs/operations.md explains each alert, docs/metrics.md each metric.").
		Tags([]string{"chatidentity"}).Readonly().Refresh("30s").Time("now-3h", "now").
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Label("Prometheus").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("job").Label("Job").Datasource(source).
			Query(dashboard.StringOrMap{String: new("label_values(chatidentity_build_info, job)")}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Multi(true).IncludeAll(true).AllValue(".+"))
	for _, row := range rows {
		builder = builder.WithRow(dashboard.NewRowBuilder(row.question))
		for _, panel := range row.panels {
			builder = builder.WithPanel(panel.builder(24 / len(row.panels)))
		}
	}
	built, err := builder.Build()
	if err != nil {
		return nil, fmt.Errorf("building the dashboard: %w", err)
	}
	text, err := json.MarshalIndent(built, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encoding the dashboard: %w", err)
	}
	return append(text, '\n'), nil
}

func (p panel) builder(width int) *timeseries.PanelBuilder {
	builder := timeseries.NewPanelBuilder().Title(p.title).Description(p.description).Datasource(dataSource()).
		Unit(p.unit).Min(0).Height(7).Span(uint32(width)). //nolint:gosec // at most Grafana's 24 columns
		FillOpacity(10).ShowPoints(common.VisibilityModeNever)
	if p.isSigned {
		builder = builder.AxisCenteredZero(true).Min(-1)
	}
	for i, query := range p.queries {
		builder = builder.WithTarget(prometheus.NewDataqueryBuilder().Expr(query.expression).
			LegendFormat(query.legend).RefId(string(rune('A' + i))).Datasource(dataSource()).Range())
	}
	return builder
}

func dataSource() common.DataSourceRef {
	return common.DataSourceRef{Type: new("prometheus"), Uid: new("${datasource}")}
}
