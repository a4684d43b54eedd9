import ArgumentParser
struct DoctorVerb: AsyncParsableCommand { static let configuration = CommandConfiguration(commandName: "doctor"); func run() async throws {} }
