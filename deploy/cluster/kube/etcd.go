//go:build kube

package main

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	genericapiserver "k8s.io/apiserver/pkg/server"
)

// patience is how long etcd may take to start.
const patience = time.Minute

func etcdCommand() *cobra.Command {
	var directory, client, peer string
	command := &cobra.Command{
		Use:  "etcd",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return runEtcd(directory, client, peer) },
	}
	command.Flags().StringVar(&directory, "data-dir", "", "where the data is")
	command.Flags().StringVar(&client, "client-url", "", "where the API server asks")
	command.Flags().StringVar(&peer, "peer-url", "", "where other members would ask")
	return command
}

// runEtcd serves until SIGTERM. Nothing is synced to the disk, because the data need not survive
// the machine.
func runEtcd(directory, client, peer string) error {
	config := embed.NewConfig()
	config.Dir = directory
	config.LogLevel = "warn"
	config.UnsafeNoFsync = true
	clientURL, err := url.Parse(client)
	if err != nil {
		return fmt.Errorf("client URL: %w", err)
	}
	peerURL, err := url.Parse(peer)
	if err != nil {
		return fmt.Errorf("peer URL: %w", err)
	}
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*clientURL}, []url.URL{*clientURL}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peerURL}, []url.URL{*peerURL}
	config.InitialCluster = config.InitialClusterFromName(config.Name)

	told := genericapiserver.SetupSignalContext()
	member, err := embed.StartEtcd(config)
	if err != nil {
		return fmt.Errorf("start etcd: %w", err)
	}
	defer member.Close()
	select {
	case <-member.Server.ReadyNotify():
	case <-time.After(patience):
		return errors.New("etcd is not ready")
	}
	select {
	case err := <-member.Err():
		return err
	case <-told.Done():
		return nil
	}
}
