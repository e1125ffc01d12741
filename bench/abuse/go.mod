module github.com/chatidentity/chatidentity/bench/abuse

go 1.26.0

replace github.com/chatidentity/chatidentity => ../..

require (
	github.com/chatidentity/chatidentity v0.0.0
	golang.org/x/net v0.60.0
	google.golang.org/grpc v1.85.0
	google.golang.org/protobuf v1.36.12
)

require (
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.42.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20261026165753-2ffab32bce7e // indirect
)
