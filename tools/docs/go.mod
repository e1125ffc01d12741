module github.com/chatidentity/chatidentity/tools/docs

go 1.26.0

require (
	github.com/yuin/goldmark v1.8.7
	go.yaml.in/yaml/v4 v4.0.0
)
