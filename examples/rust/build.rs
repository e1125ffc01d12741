fn main() -> Result<(), Box<dyn std::error::Error>> {
    let contract = "chatidentity/v1/chat_identity_service.proto";
    let descriptors = protox::compile([contract], ["../../proto"])?;
    println!("cargo:rerun-if-changed=../../proto/{contract}");
    tonic_prost_build::configure().build_server(false).compile_fds(descriptors)?;
    Ok(())
}
