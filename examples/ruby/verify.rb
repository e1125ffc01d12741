# Checks tokens with ruby-jwt: each token of a file such as
# server/internal/token/testdata/vectors.json must be signed with its secret and
# hold its claims and nothing else.
require 'json'
require 'jwt'

vectors = JSON.parse(File.read(ARGV.fetch(0), encoding: 'UTF-8'))
vectors.each do |vector|
  want = { 'externalId' => vector['external_id'], 'email' => vector['email'], 'iat' => vector['iat'] }.compact
  claims, = JWT.decode(vector['token'], vector['secret'], true, algorithm: 'HS256')
  raise "claims #{claims}, want #{want}" unless claims == want
rescue StandardError => e
  abort "#{vector['name']}: #{e.class}: #{e.message}"
end
puts "#{vectors.size} tokens verified with ruby-jwt"
