import ArgumentParser
struct ServeVerb: AsyncParsableCommand { static let configuration = CommandConfiguration(commandName: "serve"); func run() async throws {} }
struct DoctorVerb: AsyncParsableCommand { static let configuration = CommandConfiguration(commandName: "doctor"); func run() async throws {} }
