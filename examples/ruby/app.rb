# A backend in Ruby that lets its users chat as themselves: it logs a user in,
# and on POST /chat-token asks the sidecar for that user's token. Whatever the
# sidecar does, the rest of the backend goes on.
require 'google/protobuf/well_known_types'
require 'google/rpc/error_details_pb'
require 'google/rpc/status_pb'
require 'grpc'
require 'json'
require 'securerandom'
require 'sinatra/base'

require 'chatidentity/v1/chat_identity_service_services_pb'

# Logs users in, and fetches their chat tokens.
class App < Sinatra::Base
  V1 = Chatidentity::V1
  DEADLINE = 1 # second, for all tries together
  # RESOURCE_EXHAUSTED is not retried: the sidecar says when to come back, and
  # the browser is told.
  SERVICE_CONFIG = {
    methodConfig: [{
      name: [{ service: 'chatidentity.v1.ChatIdentityService' }],
      retryPolicy: { maxAttempts: 3, initialBackoff: '0.05s', maxBackoff: '0.2s',
                     backoffMultiplier: 2, retryableStatusCodes: ['UNAVAILABLE'] }
    }]
  }.freeze
  CHAT = V1::ChatIdentityService::Stub.new(
    ENV.fetch('CHATIDENTITY_ADDRESS', '127.0.0.1:9451'),
    :this_channel_is_insecure, # it never leaves the machine
    channel_args: {
      'grpc.service_config' => SERVICE_CONFIG.to_json,
      'grpc.max_reconnect_backoff_ms' => 5000, # else up to two minutes pass after a restart of the sidecar
      'grpc.enable_http_proxy' => 0
    }
  )

  # Without a reason, any other error comes from gRPC itself: nobody gets a token until the set-up
  # is mended.
  AWAY = [GRPC::Unavailable, GRPC::DeadlineExceeded, GRPC::Cancelled].freeze

  set :bind, '127.0.0.1'
  set :port, ENV.fetch('PORT', '8080')
  set :server, :puma
  set :sessions, key: 'session', same_site: :lax
  set :session_secret, SecureRandom.hex(32)

  get('/') do
    user = Rack::Utils.escape_html(session[:user_id].to_s)
    "<p>User: #{user}</p><form method=post action=/login><input name=user_id><button>Log in</button></form>"
  end

  # Stands for the backend's own log-in: it believes what it is told.
  post('/login') do
    session[:user_id] = params[:user_id]
    redirect '/', 303
  end

  post('/chat-token') do
    user = session[:user_id].to_s # from the session, never from the request
    next answer(401, error: 'not logged in') if user.empty?

    request = V1::IssueTokenRequest.new(customer: V1::Customer.new(external_id: user))
    issued = CHAT.issue_token(request, deadline: Time.now + DEADLINE, metadata: trace)
    answer(200, token: issued.token,
                login_identifier: issued.login_identifier == :IDENTIFIER_EMAIL ? 'email' : 'external_id',
                expire_time: issued.expire_time.to_time.utc.strftime('%FT%TZ'))
  rescue GRPC::BadStatus => e
    refuse(e)
  end

  # What connects the sidecar's records with this request.
  def trace
    values = %w[x-request-id traceparent].to_h { |name| [name, env["HTTP_#{name.upcase.tr('-', '_')}"].to_s] }
    values.select { |_, value| value.match?(/\A[A-Za-z0-9._:-]{1,128}\z/) } # gRPC refuses other bytes
  end

  # Tells the browser to wait, or to do without chat log-in.
  def refuse(error)
    info, retry_info = details(error)
    is_set_up = info.reason.empty? && AWAY.none? { |type| error.is_a?(type) }
    what = is_set_up ? 'ERROR: the set-up of chat is wrong' : 'no chat token'
    why = info.reason.empty? ? '' : " #{info.reason} audit_id=#{info.metadata['audit_id']}" # errors of gRPC itself have none
    warn "#{what}: #{error.class.name.split('::').last}#{why}: #{error.details}"
    case error
    when GRPC::ResourceExhausted
      headers 'Retry-After' => [1, retry_info.retry_delay.to_f.ceil].max.to_s
      answer(429, error: 'too many chat log-ins')
    when GRPC::InvalidArgument # our own fault: the log names the rule that this user's ID breaks
      answer(422, error: 'this user cannot log in to chat')
    else
      answer(200, token: nil)
    end
  end

  def details(error)
    packed = error.to_rpc_status&.details.to_a
    [Google::Rpc::ErrorInfo, Google::Rpc::RetryInfo].map do |type|
      packed.find { |detail| detail.is(type) }&.unpack(type) || type.new
    end
  end

  def answer(code, body)
    status code
    content_type :json
    headers 'Cache-Control' => 'no-store'
    body.to_json
  end

  run! if $PROGRAM_NAME == __FILE__
end
