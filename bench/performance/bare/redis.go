//go:build with_redis

package main

import "github.com/redis/go-redis/v9"

func init() { //nolint:gochecknoinits // a build tag adds it
	modules = append(modules, func() { _ = redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}) })
}
